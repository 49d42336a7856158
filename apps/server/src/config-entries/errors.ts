/** A config entry that is none, or that must not be written. The text names the key and what to do; nothing was written. */
export class ConfigEntryError extends Error {
  override readonly name = 'ConfigEntryError';
  readonly code = 'config_entry_refused';
}
