if [ "$1" -eq 0 ]; then
  systemctl --no-reload disable binauth-store.service >/dev/null 2>&1 || :
  if [ -d /run/systemd/system ]; then
    systemctl stop binauth-store.service >/dev/null 2>&1 || :
  fi
fi
