// Prints the duration of an import in a new process, in milliseconds. It is JavaScript so that nothing is loaded before.
const began = performance.now();
await import(process.argv[2]);
console.log(performance.now() - began);
process.exit(0);
