// How many tokens (o200k_base) the texts on stdin, a JSON list, cost: a JSON list of numbers.

import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { text } from 'node:stream/consumers';

console.log(JSON.stringify(JSON.parse(await text(process.stdin)).map((each) => countTokens(each))));
