import { ensureMinio, ensureVersitygw } from "../cluster/build/binaries.ts";

/** `make object-stores`: builds the two S3 servers that tests and measurements run against; the demo needs neither. */
console.log(`versitygw: ${await ensureVersitygw(console.log)}`);
console.log(`MinIO: ${await ensureMinio(console.log)}`);
