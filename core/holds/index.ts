export { HELD_BY_EACH, HELD_BY_NAME, HOLD, holdsOf, isHeld, isHeldByOne, SERVICE_HOLD } from './held.ts';
export {
  endExpiredHolds,
  endHold,
  HAS_EXPIRED_HOLDS,
  type HeldBy,
  type HoldEffect,
  type HoldRow,
  type HoldTarget,
  heldBy,
  listHolds,
  listHoldsOf,
  listWaitingFor,
  loadHoldEffect,
  MAX_HOLDS,
  type NewHold,
  postponeHeld,
  setHold,
} from './holds.ts';
