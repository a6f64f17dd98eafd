// Task handles of 2026-07-28 with @modelcontextprotocol/client 2.x and @modelcontextprotocol/ext-tasks, over stdio or HTTP. The library
// polls, and takes notifications where its host listens for them, as is done here.

import { setTimeout } from 'node:timers/promises';

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { createApplicationInputHandler, createTaskSessionFromClient } from '@modelcontextprotocol/ext-tasks/client';
import { report } from './journey.mjs';
import { doJobs } from './task_jobs.mjs';

const NAME = { name: 'ext-tasks', version: '0.2.2' };
const LOOK_MILLISECONDS = 100;
const TASKS = 'io.modelcontextprotocol/tasks';
const CAPABILITIES = { elicitation: { form: {}, url: {} } };

/** Sends requests past the client, which knows no answer to `tools/call` but its own: their answers never reach it. */
function past(transport) {
  const waiting = new Map();
  const deliver = transport.onmessage;
  transport.onmessage = (message, extra) => {
    const settle = waiting.get(message.id);
    if (!settle) return deliver(message, extra);
    waiting.delete(message.id);
    settle(message.error ? { kind: 'error', error: message.error } : { kind: 'result', result: message.result });
  };
  let sent = 0;
  return (request) =>
    new Promise((resolve, reject) => {
      const id = `past-${++sent}`;
      waiting.set(id, resolve);
      transport.send({ jsonrpc: '2.0', id, ...request }).catch(reject);
    });
}

/** How a task stands at its end. After a cancel, the library takes the server's word that it was heard, and looks no more. */
async function end(task) {
  for (;;) {
    const { status } = await task.snapshot();
    if (status !== 'working') return status;
    await setTimeout(LOOK_MILLISECONDS);
  }
}

await report(async ({ url, command, args, env, jobs }) => {
  const transport = url
    ? new StreamableHTTPClientTransport(new URL(url))
    : new StdioClientTransport({ command, args, env, stderr: 'inherit' });
  const client = new Client(NAME, { capabilities: CAPABILITIES, versionNegotiation: { mode: 'auto' } });
  await client.connect(transport);
  const rawDispatch = past(transport);
  const protocolVersion = client.getNegotiatedProtocolVersion();
  const questions = [];
  const notified = new Set();
  client.fallbackNotificationHandler = async ({ method, params }) => {
    if (method === 'notifications/tasks') notified.add(params.taskId);
  };
  const session = createTaskSessionFromClient(client, {
    endpointId: 'northstar',
    onInputRequest: createApplicationInputHandler({
      elicitation: ({ params }) => {
        questions.push(params.mode);
        return { action: 'accept', ...(params.mode === 'form' ? { content: {} } : {}) };
      },
    }),
    onError: (error) => console.error(error),
    rawDispatch,
    v2RequestFraming: { protocolVersion, clientInfo: NAME, clientCapabilities: CAPABILITIES },
  });
  const listen = (taskId) =>
    rawDispatch({
      method: 'subscriptions/listen',
      params: {
        notifications: { taskIds: [taskId] },
        _meta: {
          'io.modelcontextprotocol/protocolVersion': protocolVersion,
          'io.modelcontextprotocol/clientInfo': NAME,
          'io.modelcontextprotocol/clientCapabilities': { ...CAPABILITIES, extensions: { [TASKS]: {} } },
        },
      },
    });
  const run = async (instruction, cancelled) => {
    const execution = await session.callTool('start_task', { instruction }, { task: { preference: 'require' } });
    const handle = execution.handle.taskId;
    void listen(handle); // it is answered when the connection ends
    const statuses = [];
    const note = (event) => void (event.type === 'task' && statuses.push(event.task.status));
    if (cancelled) await execution.cancel();
    const { outcome } = await execution.settle({ onEvent: note });
    if (cancelled) statuses.push(await end(session.task(handle)));
    return { handle, statuses, answer: outcome.result };
  };
  try {
    return { ...(await doJobs(jobs, run, questions)), notified: [...notified] };
  } finally {
    await session.close();
    await client.close();
  }
});
