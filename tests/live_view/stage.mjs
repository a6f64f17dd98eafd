// One browser for all tests. Reads a command per line (JSON), answers each with a line: {"ok": …} or {"error": …}. Every command is bounded.
//
// Serves the host page, and passes /mcp on to the server under test, so that the page has one origin as a host's own backend would.
import { readFileSync } from "node:fs";
import http from "node:http";
import { createInterface } from "node:readline";
import chromium from "@sparticuz/chromium";
import { buildSync } from "esbuild";
import { chromium as playwright } from "playwright-core";

const PATIENCE_MS = 10_000;
const [server] = process.argv.slice(2);
const here = (name) => new URL(name, import.meta.url).pathname;
const script = buildSync({ entryPoints: [here("host.mjs")], bundle: true, format: "esm", write: false, logLevel: "error" }).outputFiles[0].text;
const page_html = readFileSync(here("host.html"));

let calls = []; // tools that were called, with their arguments
let cut = false; // whether nothing gets through to the server

const listener = http.createServer((request, response) => {
  if (request.url === "/host.js") return response.setHeader("content-type", "text/javascript").end(script);
  if (request.url !== "/mcp") return response.setHeader("content-type", "text/html").end(page_html);
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => pass(request, response, Buffer.concat(chunks)));
});

function pass(request, response, body) {
  if (cut) return response.destroy();
  const message = body.length ? JSON.parse(body) : {};
  if (message.method === "tools/call") calls.push(message.params);
  const { origin, host, ...headers } = request.headers;
  const on = http.request(server, { method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  on.on("error", () => response.destroy());
  response.on("close", () => on.destroy());
  on.end(body);
}

await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${listener.address().port}`;
const browser = await playwright.launch({
  executablePath: await chromium.executablePath(),
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars=false"],
  headless: true,
});

let context, page, requests, troubles;

const view = () => page.frameLocator("iframe");
const frame = () => page.frames().find((each) => each.parentFrame() === page.mainFrame());
const found = ({ role, name, id }) => (id ? view().locator(`#${id}`) : view().getByRole(role, name === undefined ? {} : { name, exact: true }));

// Functions arrive as text; a text that Playwright is given as such would be true by being there.
const written = (work) => (0, eval)(`(${work})`);

const COMMANDS = {
  async open({ width = 760, scheme = "light", motion = "no-preference", ...asked }) {
    await context?.close();
    context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme, reducedMotion: motion });
    context.setDefaultTimeout(PATIENCE_MS);
    page = await context.newPage();
    [requests, troubles, calls, cut] = [[], [], [], false];
    page.on("request", (request) => requests.push({ url: request.url(), inside: request.frame() !== page.mainFrame() }));
    page.on("pageerror", (error) => troubles.push(`${error}`));
    page.on("dialog", (dialog) => (troubles.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
    page.on("console", (line) => { if (line.type() === "error" && !/ERR_EMPTY_RESPONSE|ERR_CONNECTION|Failed to load resource/.test(line.text())) troubles.push(line.text()); });
    page.on("popup", () => troubles.push("a window was opened"));
    await page.goto(`${origin}/`);
    await page.waitForFunction(() => window.open_view);
    return page.evaluate((how) => window.open_view(how), asked);
  },
  until: ({ work, arg }) => frame().waitForFunction(written(work), arg).then(() => true),
  read: ({ work, arg }) => frame().evaluate(written(work), arg),
  host: ({ work, arg }) => page.evaluate(written(work), arg),
  click: async (what) => (await found(what).click(), true),
  shown: async (what) => (await found(what).waitFor(), true),
  hidden: async (what) => (await found(what).waitFor({ state: "hidden" }), true),
  text: (what) => found(what).innerText(),
  focus: async (what) => (await found(what).focus(), true),
  press: async ({ keys }) => { for (const key of keys) await page.keyboard.press(key); return true; },
  type: async ({ text }) => (await page.keyboard.insertText(text), true),
  roles: () => view().locator("body").ariaSnapshot(),
  theme: async ({ scheme }) => (await page.emulateMedia({ colorScheme: scheme }), true),
  cut: async ({ on }) => { cut = on; return true; },
  calls: async () => calls,
  requests: async () => requests,
  troubles: async () => troubles,
  picture: async ({ path }) => (await page.screenshot({ path, fullPage: true }), true),
};

process.stdout.write(`${JSON.stringify({ ok: origin })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...how } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await COMMANDS[name](how)) ?? null };
  } catch (error) {
    answer = { error: `${name}: ${error}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
listener.close();
listener.closeAllConnections();
