/** newest.test.ts: the stories with the newest release of hashicorp/memberlist. */
import { stories } from './stories.ts';

stories({ version: 'v0.7.0', variable: 'FED_PEER_MEMBERLIST_NEWEST', labels: true, saysLeft: true });
