systemd-sysusers binauth-store.conf || :
if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload || :
fi
