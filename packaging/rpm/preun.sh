# shellcheck shell=sh
if [ "$1" -eq 0 ]; then
  # containerd must not go on asking what goes away; a running one forgets the hook when it restarts.
  if [ -d /run/systemd/system ]; then
    binauthctl containerd disable --restart || exit 1
  else
    binauthctl containerd disable || exit 1
  fi
  systemctl --no-reload disable binauthd.service binauthd.socket binauthd-admin.socket binauthd-canary.timer >/dev/null 2>&1 || :
  if [ -d /run/systemd/system ]; then
    systemctl stop binauthd-canary.timer binauthd.socket binauthd-admin.socket binauthd.service >/dev/null 2>&1 || :
  fi
fi
