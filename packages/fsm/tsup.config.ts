import { library } from '@fed/tooling/tsup';

/** Doors are apart, so that who keeps the log on disk loads neither a gRPC client nor regular expressions. */
export default library({
  entry: {
    index: 'src/index.ts',
    'etcd/index': 'src/etcd/index.ts',
    'filter/index': 'src/filter/index.ts',
  },
});
