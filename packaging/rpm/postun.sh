if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload || :
  # The sockets are never restarted: what was asked and waits in them would be lost.
  if [ "$1" -ge 1 ]; then
    systemctl try-restart binauthd.service || :
  fi
fi
if [ "$1" -eq 0 ]; then
  rm -rf /run/binauthd
fi
