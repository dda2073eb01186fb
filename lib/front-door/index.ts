export { FrontDoor } from './front-door.ts';
