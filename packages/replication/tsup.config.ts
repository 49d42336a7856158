import { library } from '@fed/tooling/tsup';

export default library();
