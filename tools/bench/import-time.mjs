// Says how long an import takes in a fresh process, in milliseconds. Plain JavaScript: nothing else is loaded before.
const began = performance.now();
await import(process.argv[2]);
console.log(performance.now() - began);
process.exit(0);
