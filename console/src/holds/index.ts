export { ChangeReach, useAskedSave } from './change-reach.tsx';
export { HoldDialog, StopButton } from './hold-dialog.tsx';
export { HoldsPage } from './holds.tsx';
