import { notImplemented } from '../http.ts';
import {
  deleteBucket,
  getBucket,
  getStorageLayout,
  insertBucket,
  listBuckets,
  listManagedFolders,
  patchBucket,
  updateBucket,
} from './buckets.ts';
import type { Call, Operation } from './call.ts';
import { deleteNotification, getNotification, insertNotification, listNotifications } from './notification-configs.ts';
import { composeObject, copyObject, rewriteObject } from './object-copies.ts';
import { listObjects } from './object-list.ts';
import { getObject, patchObject, putObject, removeObject } from './objects.ts';

/** Every operation on metadata; uploads and downloads, which carry bytes, are beside it in the handler. */
const ROUTES: [route: string, operation: Operation][] = [
  ['POST b', insertBucket],
  ['GET b', listBuckets],
  ['GET b/:bucket', getBucket],
  ['PATCH b/:bucket', patchBucket],
  ['PUT b/:bucket', updateBucket],
  ['DELETE b/:bucket', deleteBucket],
  ['GET b/:bucket/storageLayout', getStorageLayout],
  ['GET b/:bucket/managedFolders', listManagedFolders],
  ['POST b/:bucket/notificationConfigs', insertNotification],
  ['GET b/:bucket/notificationConfigs', listNotifications],
  ['GET b/:bucket/notificationConfigs/:id', getNotification],
  ['DELETE b/:bucket/notificationConfigs/:id', deleteNotification],
  ['GET b/:bucket/o', listObjects],
  ['GET b/:bucket/o/:object', getObject],
  ['PATCH b/:bucket/o/:object', patchObject],
  ['PUT b/:bucket/o/:object', putObject],
  ['DELETE b/:bucket/o/:object', removeObject],
  ['POST b/:bucket/o/:object/compose', composeObject],
  ['POST b/:bucket/o/:object/copyTo/b/:bucket/o/:object', copyObject],
  ['POST b/:bucket/o/:object/rewriteTo/b/:bucket/o/:object', rewriteObject],
];

/** What the real service has and this one does not, by the name that its reference gives it. */
const REFUSED: [route: string, operation: string][] = [
  ['\\w+ b/:/o/:/acl', 'objectAccessControls (ACLs)'],
  ['\\w+ b/:/acl', 'bucketAccessControls (ACLs)'],
  ['\\w+ b/:/defaultObjectAcl', 'defaultObjectAccessControls (ACLs)'],
  ['GET b/:/iam/testPermissions', 'buckets.testIamPermissions'],
  ['GET b/:/iam', 'buckets.getIamPolicy'],
  ['PUT b/:/iam', 'buckets.setIamPolicy'],
  ['POST b/:/lockRetentionPolicy', 'buckets.lockRetentionPolicy'],
  ['POST b/:/restore', 'buckets.restore (soft delete)'],
  ['POST b/:/o/bulkRestore', 'objects.bulkRestore (soft delete)'],
  ['POST b/:/o/watch', 'objects.watchAll'],
  ['POST b/:/o/:/restore', 'objects.restore (soft delete)'],
  ['POST b/:/o/:/moveTo', 'objects.move'],
  ['\\w+ b/:/managedFolders', 'managedFolders'],
  ['\\w+ b/:/folders', 'folders'],
  ['\\w+ b/:/anywhereCaches', 'anywhereCaches'],
  ['\\w+ projects/:/hmacKeys', 'projects.hmacKeys'],
  ['GET projects/:/serviceAccount', 'projects.serviceAccount.get'],
];

/** The operation that a call asks for. Throws 501, with its name, where there is none. */
export function findOperation({ method, path }: Pick<Call, 'method' | 'path'>): Operation {
  for (const [route, operation] of ROUTES) {
    if (matches(route, method, path)) return operation;
  }
  const asked = `${method} ${path.map(encodeURIComponent).join('/')}`;
  const refused = REFUSED.find(([route]) => new RegExp(`^${route.replaceAll(':', '[^/]+')}`).test(asked));
  throw notImplemented('GCS', refused ? refused[1] : `${method} /${path.join('/')}`);
}

function matches(route: string, method: string, path: string[]): boolean {
  const [routeMethod, routePath = ''] = route.split(' ');
  const segments = routePath.split('/');
  return (
    routeMethod === method &&
    segments.length === path.length &&
    segments.every((segment, index) => segment.startsWith(':') || segment === path[index])
  );
}
