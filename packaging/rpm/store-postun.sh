if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload || :
  if [ "$1" -ge 1 ]; then
    systemctl try-restart binauth-store.service || :
  fi
fi
if [ "$1" -eq 0 ]; then
  rmdir /usr/share/licenses/binauth-store 2>/dev/null || :
fi
