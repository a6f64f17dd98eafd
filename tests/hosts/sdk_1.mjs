// The journey with @modelcontextprotocol/sdk 1.x, over stdio or HTTP. It speaks the handshake era only.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { makeJourney, report } from './journey.mjs';

await report(async ({ url, command, args, env, instruction }) => {
  const transport = url
    ? new StreamableHTTPClientTransport(new URL(url))
    : new StdioClientTransport({ command, args, env, stderr: 'inherit' });
  const client = new Client({ name: 'sdk-1', version: '1.0.0' });
  const updates = [];
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, (told) => updates.push(told.params.uri));
  await client.connect(transport);
  try {
    return await makeJourney(
      {
        era: () => 'legacy',
        tools: async () => (await client.listTools()).tools,
        call: (name, args, onprogress) => client.callTool({ name, arguments: args }, undefined, { onprogress }),
        subscribe: (uri) => client.subscribeResource({ uri }),
        read: (uri) => client.readResource({ uri }),
      },
      updates,
      instruction,
    );
  } finally {
    await client.close();
  }
});
