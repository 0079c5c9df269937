// Drives the unmodified npm client, one call a line, as client.py does the one
// from PyPI: kwargs follow args as an object of options.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { MemoryClient } = createRequire(process.argv[2] + "/package.json")("mem0ai");
const clients = {};

async function call({ client, method, args, kwargs }) {
  if (method === "connect") {
    clients[client] = new MemoryClient(kwargs);
    return null;
  }
  return clients[client][method](...(args ?? []), ...(kwargs ? [kwargs] : []));
}

for await (const text of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { result: (await call(JSON.parse(text))) ?? null };
  } catch (error) {
    answer = { error: error.constructor.name, message: String(error.message), status: error.debugInfo?.statusCode ?? error.statusCode ?? 0 };
  }
  console.log(JSON.stringify(answer));
}
