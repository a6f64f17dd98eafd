// Loaded into a Node client before it starts: appends what its fetch receives to the file named by OVERHEARD.

import { appendFileSync } from 'node:fs';

const fetched = globalThis.fetch;
globalThis.fetch = async (...request) => {
  const response = await fetched(...request);
  if (!response.body) return response;
  const [own, other] = response.body.tee();
  const write = (chunk) => appendFileSync(process.env.OVERHEARD, chunk);
  const note = new WritableStream({ write, close: () => write('\n') });
  other.pipeTo(note).catch(() => {}); // a stream that is cut off is the client's affair
  return new Response(own, response);
};
