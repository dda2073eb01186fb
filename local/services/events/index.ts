export { type BusRule, compileEventPattern, eventBus, eventsService } from './event-bus.ts';
export { compileInputTransformer, type InputTransformer } from './input-transformer.ts';
