// SPDX-License-Identifier: Apache-2.0

/** The release being built; build.mjs puts the text in its place. */
declare const __RELEASE__: string;
