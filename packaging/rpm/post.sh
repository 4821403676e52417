# shellcheck shell=sh
# Users and folders, the sockets, the daemon. containerd is not touched: that is `binauthctl containerd`'s.
systemd-sysusers binauthd.conf || :
systemd-tmpfiles --create binauthd.conf || :
if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload || :
fi
if [ "$1" -eq 1 ]; then
  # Debian enables by itself, here it is asked by presets; whoever has none enables by hand.
  systemctl --no-reload preset binauthd.service binauthd.socket binauthd-admin.socket >/dev/null 2>&1 || :
fi
