/** plain.test.ts: the stories without a key. */
import { stories } from './stories.ts';

stories('plain');
