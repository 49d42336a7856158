import { library } from '@fed/tooling/tsup';

export default library({ entry: ['src/cli.ts'], format: ['esm'], dts: false });
