// A header of the program's own, which it may include.
#pragma once
