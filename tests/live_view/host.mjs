// A host in a page: the official client in front of the server, the official AppBridge in front of the view. `window.open_view` is what
// a conversation does: it calls a tool and shows the view that the tool names.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { AppBridge, getToolUiResourceUri, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

const EXTENSION = "io.modelcontextprotocol/ui";
const MIME_TYPE = "text/html;profile=mcp-app";
// What a host sets for a page that asks for no domains (SEP-1865).
const POLICY =
  "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; media-src 'self' data:; connect-src 'none'";

window.links = [];
window.sizes = [];

window.open_view = async ({ tool, given, context = {}, capabilities = { openLinks: {}, serverTools: {} }, bare = false, call = true }) => {
  const client = new Client({ name: "host-page", version: "1" }, { capabilities: { extensions: { [EXTENSION]: { mimeTypes: [MIME_TYPE] } } } });
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", location.href)));
  const tools = (await client.listTools()).tools;
  const definition = tools.find((each) => each.name === tool);
  const [page] = (await client.readResource({ uri: getToolUiResourceUri(definition) })).contents;
  if (page.mimeType !== MIME_TYPE) throw new Error(`the page is ${page.mimeType}`);

  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts";
  frame.title = "app";
  document.body.replaceChildren(frame);
  const bridge = new AppBridge(client, { name: "host-page", version: "1" }, capabilities, { hostContext: { toolInfo: { tool: definition }, ...context } });
  window.bridge = bridge;
  bridge.onopenlink = async ({ url }) => (window.links.push(url), {});
  bridge.onrequestdisplaymode = async ({ mode }) => ({ mode });
  bridge.onsizechange = ({ height }) => {
    window.sizes.push(height);
    frame.style.height = `${height}px`;
  };
  const ready = new Promise((resolve) => { bridge.oninitialized = resolve; });
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.srcdoc = page.text.replace("<head>", `<head><meta http-equiv="Content-Security-Policy" content="${POLICY}">`);
  await ready;

  await bridge.sendToolInput({ arguments: given });
  if (!call) return { tools: tools.map((each) => each.name) };
  const result = await client.callTool({ name: tool, arguments: given });
  await bridge.sendToolResult(bare ? { content: result.content } : result);
  return result.structuredContent;
};
