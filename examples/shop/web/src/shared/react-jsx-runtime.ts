// SPDX-License-Identifier: Apache-2.0

export { Fragment, jsx, jsxs } from "react/jsx-runtime";
