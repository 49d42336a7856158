import { library } from '@fed/tooling/tsup';

/** The second door is apart, so that who keeps the log on disk does not load a gRPC client. */
export default library({ entry: { index: 'src/index.ts', 'etcd/index': 'src/etcd/index.ts' } });
