// SPDX-License-Identifier: Apache-2.0

// React is published as CommonJS, whose names a browser cannot see. This makes
// an ES module of it; the default export is for react-dom, which requires it whole.
export {
  Component,
  Fragment,
  StrictMode,
  Suspense,
  createContext,
  createElement,
  forwardRef,
  lazy,
  memo,
  useCallback,
  useContext,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
  useSyncExternalStore,
  useTransition,
} from "react";
export { default } from "react";
