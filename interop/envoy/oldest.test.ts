/** oldest.test.ts: the stories with the oldest release of Envoy that the package index has. */
import { stories } from './stories.ts';

stories({ version: '1.36.2', variable: 'FED_PEER_ENVOY_OLDEST' });
