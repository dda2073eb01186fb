export { HoldDialog, StopButton } from './hold-dialog.tsx';
export { HoldsPage } from './holds.tsx';
export { ReachList } from './reach-list.tsx';
