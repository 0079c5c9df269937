// Calls each tool by the unmodified npm client, and prints what it was told.
//
// usage: client.mjs MODULES URL KEY
const [modules, url, key] = process.argv.slice(2);
const sdk = modules + "/node_modules/@modelcontextprotocol/sdk/dist/esm/client/";
const { Client } = await import(sdk + "index.js");
const { StreamableHTTPClientTransport } = await import(sdk + "streamableHttp.js");

const client = new Client({ name: "e2e", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { "X-API-Key": key } } }));
const call = async (name, args) => (await client.callTool({ name, arguments: args })).content[0].text;

const told = { tools: (await client.listTools()).tools.map((t) => t.name) };
told.remembered = JSON.parse(await call("remember", { content: "The invoice goes to jane.doe@example.com" }));
told.recalled = JSON.parse(await call("recall", { query: "invoice" }));
told.forgotten = JSON.parse(await call("forget", { memory_id: told.remembered.memory_id }));
told.left = JSON.parse(await call("list", {}));
told.refused = await call("remember", {});
console.log(JSON.stringify(told));
await client.close();
