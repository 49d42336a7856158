/** The door of @fed/fsm/etcd: the log engine of several servers that share an etcd cluster. */
export { parseEndpoint } from './endpoint.ts';
export { EtcdCallError, EtcdLogError, type EtcdLogErrorCode } from './errors.ts';
export { etcdLog, openEtcdLog } from './open.ts';
export type { EtcdAccess, EtcdEngineOptions, EtcdLogEvent, EtcdLogOptions, EtcdTls } from './options.ts';
