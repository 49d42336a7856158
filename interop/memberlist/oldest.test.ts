/** oldest.test.ts: the stories with the oldest release of hashicorp/memberlist. */
import { stories } from './stories.ts';

stories({ version: 'v0.1.3', variable: 'FED_PEER_MEMBERLIST_OLDEST', labels: false, saysLeft: false });
