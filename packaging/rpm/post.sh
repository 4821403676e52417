# shellcheck shell=sh
# Users and folders, the sockets, the daemon. containerd is told nothing: that is `binauthctl containerd enable`'s. Where it
# has been, it gets the programs of this version.
systemd-sysusers binauthd.conf || :
systemd-tmpfiles --create binauthd.conf || :
if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload || :
fi
if [ "$1" -eq 1 ]; then
  # Debian enables by itself, here it is asked by presets; whoever has none enables by hand.
  systemctl --no-reload preset binauthd.service binauthd.socket binauthd-admin.socket binauthd-canary.timer >/dev/null 2>&1 || :
fi
[ ! -e /opt/containerd/binauthd/wiring.json ] || binauthctl containerd refresh ||
  echo "binauthd: containerd keeps the programs that it has; see \`binauthctl containerd refresh\`" >&2
