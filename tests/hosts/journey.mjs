// The journey that every client makes, in the words of any of them: list, start, see progress, pause, inject, resume, read the answer.
// A client is given as functions, so that no client's own manner stands here.

const LIMIT_SECONDS = 60;

/**
 * @param client { era(), tools(), call(name, args, onprogress?), subscribe(uri), read(uri) }
 * @param updates the URIs of resource updates, filled in by the client as they come
 */
export async function makeJourney(client, updates, instruction) {
  const progress = [];
  const call = async (name, args, onprogress) => {
    const answer = await client.call(name, args, onprogress);
    if (answer.isError) throw new Error(`${name}: ${JSON.stringify(answer.content)}`);
    return answer;
  };
  const tools = await client.tools();
  const started = await call('start_task', { instruction, wait_seconds: 1 }, (told) => progress.push(told));
  const task_id = started.structuredContent.task_id;
  const uri = `northstar://tasks/${task_id}`;
  await client.subscribe(uri);
  const paused = await call('pause', { task_id });
  const told = await call('inject_message', { task_id, message: 'Also note the price.' });
  const resumed = await call('resume', { task_id });

  const give_up_at = Date.now() + LIMIT_SECONDS * 1000;
  let seen = started.structuredContent.seq;
  let status;
  do {
    status = await call('task_status', { task_id, since_seq: seen, wait_seconds: 10 });
    seen = status.structuredContent.seq;
  } while (!status.structuredContent.result && Date.now() < give_up_at);

  const resource = JSON.parse((await client.read(uri)).contents[0].text);
  const shot = await call('task_screenshot', { task_id });
  return {
    era: client.era(),
    tools: tools.map((tool) => tool.name).sort(),
    progress,
    states: [paused, resumed, status].map((answer) => answer.structuredContent.state),
    receipts: told.structuredContent.receipts.map((receipt) => receipt.state),
    task: status.structuredContent,
    text: status.content[0].text,
    resource,
    updates,
    screenshot: shot.content.filter((block) => block.type === 'image').map((block) => block.mimeType),
  };
}

/** Run `work` on the plan in argv and print its report; a failure is told and is the exit code. */
export async function report(work) {
  try {
    console.log(JSON.stringify(await work(JSON.parse(process.argv[2]))));
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  }
}
