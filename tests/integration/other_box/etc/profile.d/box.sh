export LANG="${LANG:-C.UTF-8}"
WORK="/work/$(id -un)"
export WORK
