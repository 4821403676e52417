# shellcheck shell=sh
if [ "$1" -eq 0 ]; then
  systemctl --no-reload disable binauthd.service binauthd.socket binauthd-admin.socket >/dev/null 2>&1 || :
  if [ -d /run/systemd/system ]; then
    systemctl stop binauthd.socket binauthd-admin.socket binauthd.service >/dev/null 2>&1 || :
  fi
fi
