# Login shells have these too, also that of a job which was submitted with --export=NONE.
export LANG="${LANG:-C.UTF-8}"
SCRATCH="/scratch/$(id -un)"
export SCRATCH
