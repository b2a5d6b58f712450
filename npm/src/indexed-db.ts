/** The browser's IndexedDB, one transaction at a time. */

import { UnsupportedError } from './errors.js';
import { own } from './platform.js';

/** A database, whose stores are made when it is first opened. */
export interface Database {
  readonly name: string;
  readonly stores: readonly string[];
  /** What is kept there, for people. */
  readonly keeps: string;
}

/** Runs one transaction on one store; done when it is durable. */
export async function transact<T>(
  database: Database,
  mode: IDBTransactionMode,
  name: string,
  act: (store: IDBObjectStore) => IDBRequest<T> | void,
): Promise<T> {
  // A browser in which this page may store nothing refuses by throwing, too.
  const opened = await open(database).catch((cause: unknown) => {
    throw unusable(database, cause);
  });
  try {
    return await new Promise<T>((resolve, reject) => {
      const transaction = opened.transaction(name, mode, own({ durability: 'strict' as const }));
      const request = act(transaction.objectStore(name));
      transaction.oncomplete = () => resolve(request?.result as T);
      transaction.onabort = () => reject(unusable(database, transaction.error));
    });
  } finally {
    opened.close();
  }
}

function open({ name, stores }: Database): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      for (const store of stores) request.result.createObjectStore(store);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(request.error);
  });
}

function unusable({ keeps }: Database, cause: unknown): UnsupportedError {
  return new UnsupportedError('storage_unavailable', `the browser does not let this page store its ${keeps}`, { cause });
}
