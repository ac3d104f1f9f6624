// The component that alpha_more.cc is a part of.
#pragma once
