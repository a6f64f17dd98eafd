// The journey with @modelcontextprotocol/client 2.x, over stdio or HTTP, in either era.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { makeJourney, report } from './journey.mjs';

await report(async ({ url, command, args, env, instruction, era }) => {
  const transport = url
    ? new StreamableHTTPClientTransport(new URL(url))
    : new StdioClientTransport({ command, args, env, stderr: 'inherit' });
  const modern = era === 'modern';
  const client = new Client(
    { name: 'client-2', version: '2.0.0' },
    modern ? { versionNegotiation: { mode: 'auto' } } : {},
  );
  const updates = [];
  client.setNotificationHandler('notifications/resources/updated', (told) => void updates.push(told.params.uri));
  await client.connect(transport);
  try {
    return await makeJourney(
      {
        era: () => client.getProtocolEra(),
        tools: async () => (await client.listTools()).tools,
        call: (name, args, onprogress) => client.callTool({ name, arguments: args }, { onprogress }),
        subscribe: (uri) =>
          modern ? client.listen({ resourceSubscriptions: [uri] }) : client.subscribeResource({ uri }),
        read: (uri) => client.readResource({ uri }),
      },
      updates,
      instruction,
    );
  } finally {
    await client.close();
  }
});
