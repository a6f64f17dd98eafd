// The jobs that every client of task handles is given, in the words of any of them: one that ends by itself, one that needs the user,
// one that is cancelled. They run side by side, since each client waits between two looks as long as the server has told it to.

/**
 * @param jobs { answered, helped, stopped }: instructions
 * @param run (instruction, cancelled) => { handle, statuses, answer? }; it cancels the task once it has the handle, if told to
 * @param questions the modes of the questions to the user, filled in by the client as they come
 */
export async function doJobs(jobs, run, questions) {
  const [answered, helped, stopped] = await Promise.all([
    run(jobs.answered, false),
    run(jobs.helped, false),
    run(jobs.stopped, true),
  ]);
  return { answered, helped, stopped, questions };
}
