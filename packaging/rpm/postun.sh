# shellcheck shell=sh
if [ -d /run/systemd/system ]; then
  systemctl --system daemon-reload || :
  # The sockets are never restarted: what was asked and waits in them would be lost.
  if [ "$1" -ge 1 ]; then
    systemctl try-restart binauthd.service || :
  fi
fi
if [ "$1" -eq 0 ]; then
  rm -rf /run/binauthd
  # Folders are no files of the package. What holds edited configuration or state stays.
  for folder in /usr/libexec/binauthd /usr/share/doc/binauthd/containerd/1.7 /usr/share/doc/binauthd/containerd \
    /usr/share/doc/binauthd /usr/share/licenses/binauthd /usr/share/selinux/devel/binauthd /etc/binauthd/attestors /etc/binauthd; do
    rmdir "$folder" 2>/dev/null || :
  done
fi
