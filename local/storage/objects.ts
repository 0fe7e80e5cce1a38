import { ApiError, notImplemented } from '../http.ts';
import { segment, type Operation } from './call.ts';
import { patchAttributes, readAttributes } from './object-attributes.ts';
import { shownObject } from './md5.ts';
import { deleteObject, findObject, updateObject } from './object-changes.ts';
import { checkPreconditions, readNumber, readPreconditions } from './preconditions.ts';

export const getObject: Operation = async (store, call) => {
  const object = findObject(store, segment(call, 1), segment(call, 3), readNumber(call.query, 'generation'));
  checkPreconditions(readPreconditions(call.query), object, 'read');
  return { status: 200, body: await shownObject(store, object, call.origin) };
};

export const patchObject: Operation = async (store, call, body) => {
  const object = findObject(store, segment(call, 1), segment(call, 3), readNumber(call.query, 'generation'));
  checkPreconditions(readPreconditions(call.query), object, 'write');
  refuseStorageClass(object.attributes.storageClass, body['storageClass']);
  const updated = updateObject(store, object, patchAttributes(object.attributes, body), call.origin);
  return { status: 200, body: await shownObject(store, updated, call.origin) };
};

/** Replaces every attribute: one that the body leaves out is gone, except for the storage class. */
export const putObject: Operation = async (store, call, body) => {
  const object = findObject(store, segment(call, 1), segment(call, 3), readNumber(call.query, 'generation'));
  checkPreconditions(readPreconditions(call.query), object, 'write');
  const { storageClass, customTime } = object.attributes;
  refuseStorageClass(storageClass, body['storageClass']);
  const after = patchAttributes({ customTime }, { ...readAttributes(body), customTime: body['customTime'] ?? null });
  const updated = updateObject(store, object, { ...after, storageClass }, call.origin);
  return { status: 200, body: await shownObject(store, updated, call.origin) };
};

export const removeObject: Operation = (store, call) => {
  const object = findObject(store, segment(call, 1), segment(call, 3), readNumber(call.query, 'generation'));
  checkPreconditions(readPreconditions(call.query), object, 'write');
  deleteObject(store, object, call.origin);
  return { status: 204 };
};

/** "To change the storage class of an existing object, rewrite it." */
function refuseStorageClass(before = 'STANDARD', after: unknown): void {
  if (after === undefined || after === before) return;
  if (typeof after === 'string') throw notImplemented('GCS', 'objects: change of storageClass other than by rewrite');
  throw new ApiError(400, 'invalid', 'Invalid argument: storageClass is not a string');
}
