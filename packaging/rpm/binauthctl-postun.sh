# shellcheck shell=sh
# Folders are no files of the package.
if [ "$1" -eq 0 ]; then
  for folder in /usr/share/doc/binauthctl/ci /usr/share/doc/binauthctl /usr/share/licenses/binauthctl; do
    rmdir "$folder" 2>/dev/null || :
  done
fi
