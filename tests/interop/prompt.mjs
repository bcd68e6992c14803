// The original's messages for a model. Reads one JSON object from standard input and writes another:
// {"stored": [messages as stored]} becomes {"shown": [what its model is shown]}, and
// {"said": [what its model said]} becomes {"stored": [the messages that it stores]}.

import { readFileSync } from 'node:fs';
import { MessageList } from '@mastra/core/agent';

const given = JSON.parse(readFileSync(0, 'utf8'));
const list = new MessageList({ threadId: 't', resourceId: 'r' });
if (given.stored) {
  for (const { createdAt, ...message } of given.stored) {
    list.add({ ...message, createdAt: new Date(createdAt) }, 'memory');
  }
  console.log(JSON.stringify({ shown: list.get.all.aiV5.model() }));
} else {
  list.add('hi', 'input');
  list.add(given.said, 'response');
  console.log(JSON.stringify({ stored: list.get.all.db() }));
}
