/** Switches for all that can go wrong at Aptible. Numbers count down with each use; the rest stays as it is set. */
export type Faults = {
  /** So many requests are answered 401, as with an expired token; or 500. */
  unauthorized: number;
  serverErrors: number;
  /** The next POST of such an operation is carried out, and its reply lost; or lost before it is carried out. */
  loseReply: string | undefined;
  loseRequest: string | undefined;
  /** The next such operation fails. */
  failOperation: string | undefined;
  /** Handles that several resources bear. */
  ambiguous: string[];
  wantsOneTimePassword: boolean;
  tokenSeconds: number;
  pageSize: number;
  /** "Keep final backup for deprovisioned databases … Default: enabled". */
  keepFinalBackup: boolean;

  /** What the next certificates are. */
  certificate: 'good' | 'other authority' | 'expired' | 'other user' | 'not yet';
  hostKey: 'pinned' | 'other';
  authority: 'right' | 'other';
  /** The portal says nothing after the shell is open; or ends it at once, with the exit code of a lifetime that is over. */
  shell: 'ready' | 'silent' | 'over';
  /** What the API says instead of the database's password. */
  databasePassword: string | undefined;
};

export const noFaults = (): Faults => ({
  unauthorized: 0,
  serverErrors: 0,
  loseReply: undefined,
  loseRequest: undefined,
  failOperation: undefined,
  ambiguous: [],
  wantsOneTimePassword: false,
  tokenSeconds: 43_200,
  pageSize: 20,
  keepFinalBackup: true,
  certificate: 'good',
  hostKey: 'pinned',
  authority: 'right',
  shell: 'ready',
  databasePassword: undefined,
});
