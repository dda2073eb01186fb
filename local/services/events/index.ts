export { type BusRule, compileEventPattern, eventBus, eventsService } from './event-bus.ts';
