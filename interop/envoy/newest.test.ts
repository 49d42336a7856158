/** newest.test.ts: the stories with the current release of Envoy. */
import { stories } from './stories.ts';

stories({ version: '1.40.0', variable: 'FED_PEER_ENVOY_NEWEST' });
