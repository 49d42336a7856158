import { application } from '@fed/tooling/tsup';

export default application();
