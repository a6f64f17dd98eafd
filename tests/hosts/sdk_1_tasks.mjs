// The experimental tasks of 2025-11-25 with @modelcontextprotocol/sdk 1.x, over stdio or HTTP. It names the tasks of the questions too.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { report } from './journey.mjs';
import { doJobs } from './task_jobs.mjs';

const RELATED = 'io.modelcontextprotocol/related-task';

await report(async ({ url, command, args, env, jobs }) => {
  const transport = url
    ? new StreamableHTTPClientTransport(new URL(url))
    : new StdioClientTransport({ command, args, env, stderr: 'inherit' });
  const client = new Client(
    { name: 'sdk-1', version: '1.0.0' },
    { capabilities: { elicitation: { form: {}, url: {} } } },
  );
  const questions = [];
  const related = [];
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
    questions.push(params.mode);
    related.push(params._meta?.[RELATED]?.taskId);
    return { action: 'accept', ...(params.mode === 'form' ? { content: {} } : {}) };
  });
  await client.connect(transport);
  await client.listTools(); // it learns from it which tools take a task
  const { tasks } = client.experimental;
  const run = async (instruction, cancelled) => {
    const told = { statuses: [] };
    for await (const news of tasks.callToolStream({ name: 'start_task', arguments: { instruction } })) {
      if (news.task) told.statuses.push(news.task.status);
      if (news.type === 'taskCreated') told.handle = news.task.taskId;
      if (news.type === 'taskCreated' && cancelled) await tasks.cancelTask(told.handle);
      if (news.type === 'result') told.answer = news.result;
      if (news.type === 'error') told.error = news.error.message;
    }
    return told;
  };
  try {
    const done = await doJobs(jobs, run, questions);
    return { ...done, related, listed: (await tasks.listTasks()).tasks.map((task) => task.taskId) };
  } finally {
    await client.close();
  }
});
